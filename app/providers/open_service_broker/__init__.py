"""Resources from any broker that speaks the Open Service Broker API 2.17.

configuration  the file that names brokers, and how their offerings are taken
client         one request: deadline, size, no redirects, errors told without secrets
verdicts       what an answer means, and whether it may have left an orphan
offerings      a broker's catalogue, as offerings of this installation
order          what is known of an instance that a broker was asked for
credentials    a broker's credentials, as those that variables are made from
operation      an operation carried to its end, waiting for it where the broker takes its time
provider       the provider

The instance's id is the broker's instance id too, and binding ids follow from it and the version,
so any call may be repeated. What failed, or was asked and never answered, is discarded as the
specification's table of orphans says, unless it ever was ready: data is never lost to a clean-up.
The next try uses the same id. The specification would rather have a new one, as brokers need not
know an id twice; but then something made late, by a request that was given up, would be found by
nobody. A broker that refuses the id says so, and the instance has failed in plain sight. One that
says that it has the instance already is asked how that came about, as it may be what is left of a
failure. Whoever finds that another worker was given its work discards nothing.
"""
