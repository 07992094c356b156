# Wall clocks jump, one forwards, one back. Nothing that is decided looks at them.
clock agent hours=24
clock dns-proxy hours=-24
query client=pod-0 name=n1.ok.test. via=agent
query client=pod-1 name=n2.ok.test. via=dns-proxy
run 50ms
settle
mappings
----
> clock agent hours=24
> clock dns-proxy hours=-24
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> query client=pod-1 name=n2.ok.test. via=dns-proxy
  +0 ms     query 2: n2.ok.test.
> run 50ms
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 2: dns-proxy asks the upstream
  +4 ms     query 2: dns-proxy answers NOERROR
  +5 ms     query 1: agent answers NOERROR
> settle
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
