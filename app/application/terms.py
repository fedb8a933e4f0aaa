"""How long things may take."""

import dataclasses
from datetime import timedelta


@dataclasses.dataclass(frozen=True)
class Terms:
    """How long things may take."""

    operation_timeout: timedelta
    deployment_timeout: timedelta
    removal_grace: timedelta
