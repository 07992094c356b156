# Nothing can be opened: the answer goes out when its time is up.
options datapath=refuses
query client=pod-0 name=n1.ok.test. via=agent
run 300ms
mappings
----
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 300ms
  +0 ms     query 1: agent asks the upstream
  +106 ms   query 1: agent answers NOERROR
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2
