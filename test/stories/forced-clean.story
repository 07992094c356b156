# A forced clean reaches a peer that was cut off when it was made; what was learned later stays.
query client=pod-0 name=n1.ok.test. via=agent
run 50ms
settle
cut
run 5ms
clean agent name=n1.ok.test.
query client=pod-1 name=n1.ok.test. via=dns-proxy
run 50ms
mappings
heal
settle
mappings
----
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 50ms
  +0 ms     query 1: agent asks the upstream
  +5 ms     query 1: agent answers NOERROR
> settle
> cut
> run 5ms
  +1 ms     agent: pair link down
  +1 ms     dns-proxy: pair link down
> clean agent name=n1.ok.test.
> query client=pod-1 name=n1.ok.test. via=dns-proxy
  +0 ms     query 2: n1.ok.test.
> run 50ms
  +0 ms     query 2: dns-proxy asks the upstream
  +3 ms     query 2: dns-proxy answers NOERROR
> mappings
  agent knows no mapping
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n1.ok.test. 10.0.0.2
> heal
> settle
  +14 ms    dns-proxy: pair link up
  +15 ms    agent: pair link up
> mappings
  agent knows uid-1 n1.ok.test. 10.0.0.2
  dns-proxy knows uid-1 n1.ok.test. 10.0.0.2
