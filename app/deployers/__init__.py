"""What puts a revision into effect: the last step of a deployment.

contract   what every deployer promises
registry   the kinds of deployers, and how one is made from an environment's settings

env_file       writes the variables to a file and runs a command; the default
local_command  runs a command that gets the variables in its environment
webhook        sends a signed message and learns the outcome from the receiver
external       somebody else deploys and reports

settings, webhook_settings   what an environment may set for them
execution        a release on this machine, once: an effect, a command, a record
record           the record of the outcome, and the lock
placement        the file, and what stood there before
command          the command: its process group, its output, its deadline
dotenv           the format of the file
signature        what proves who sent a message
receiver_answer  what a receiver tells of a release

Settings name files that the server writes, programs that it runs with its own rights and
addresses that it sends to: whoever may change them must be trusted like an operator of the
server.
"""

from app.deployers import contract, receiver_answer, registry, webhook

AnswerError = receiver_answer.AnswerError
Agreement = webhook.Agreement
Deployer = contract.Deployer
DeployerSettingsError = contract.DeployerSettingsError
Outcome = contract.Outcome
OutcomeStatus = contract.OutcomeStatus
Release = contract.Release
Surroundings = registry.Surroundings
Told = receiver_answer.Told

check = registry.check
create = registry.create
reaches_out = registry.reaches_out
read_answer = receiver_answer.read
KINDS = registry.KINDS
SECRETS = registry.SECRETS
