"""What puts a revision into effect: the last step of a deployment.

contract   what every deployer promises
registry   the kinds of deployers, and how one is made from an environment's settings
env_file   writes the variables to a file and runs a command; the default
settings   what an environment may set for it
placement  the file, what stood there before, and the record of the outcome
command    the command: its process group, its output, its deadline
dotenv     the format of the file
external   somebody else deploys and reports

Settings name a file that the server writes and a program that the server runs, with the
server's rights: whoever may change them must be trusted like an operator of the server.
"""

from app.deployers import contract, registry

Deployer = contract.Deployer
DeployerSettingsError = contract.DeployerSettingsError
Outcome = contract.Outcome
OutcomeStatus = contract.OutcomeStatus
Release = contract.Release

create = registry.create
KINDS = registry.KINDS
