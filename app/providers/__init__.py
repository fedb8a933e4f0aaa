"""Real resources behind the services: one module per kind of server.

contract          what every provider promises, and how it reports failure
postgres          one database per service instance
postgres_objects  its databases and roles, as statements
postgres_limits   what plan and parameters allow, as statements
postgres_admin    runs the work: one lock per instance, a deadline per call, errors told
s3                one bucket per service instance
s3_objects        its buckets and users
s3_admin          runs the work in threads, likewise
s3_client         the calls, and what their errors mean
redis             one prefix of keys and channels per service instance
redis_objects     its users and keys
redis_admin       the calls, and what their errors mean
rabbitmq          one virtual host per service instance
rabbitmq_objects  its virtual hosts and users
rabbitmq_limits   what a plan allows
rabbitmq_api      the calls, and what its answers mean
attempts          runs the work of the last two: one at a time per instance, within a deadline
open_service_broker  whatever a broker offers: a package, see there

A provider keeps no state of its own: names follow from the instance's id, so any call may be
repeated by any process. Which provider serves which offering stands in the catalogue. Messages
of servers go through `app.redaction` before they leave.
"""
