"""How long things may take, and who may use what."""

import dataclasses
from datetime import timedelta


@dataclasses.dataclass(frozen=True)
class Terms:
    """How long things may take, and who may use what."""

    operation_timeout: timedelta
    deployment_timeout: timedelta
    removal_grace: timedelta
    is_beta_over: bool = False
    """May everybody use what was in Beta (R1)?"""
