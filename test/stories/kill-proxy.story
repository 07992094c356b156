# The same the other way round: dns-proxy is killed with a query under way.
query client=pod-0 name=n1.ok.test. via=dns-proxy
run 1ms
kill dns-proxy
run 100ms
start dns-proxy
settle
mappings
----
> query client=pod-0 name=n1.ok.test. via=dns-proxy
  +0 ms     query 1: n1.ok.test.
> run 1ms
  +0 ms     query 1: dns-proxy asks the upstream
> kill dns-proxy
  +0 ms     dns-proxy is killed
> run 100ms
  +1 ms     agent: pair link down
  +6 ms     agent answers for dns-proxy
  +6 ms     query 1: agent takes it over
  +6 ms     query 1: agent asks the upstream
  +9 ms     query 1: agent answers NOERROR
> start dns-proxy
  +0 ms     dns-proxy starts
  +0 ms     dns-proxy enforces revision 1
> settle
  +1 ms     dns-proxy: pair link up
  +1 ms     dns-proxy serves
  +1 ms     agent leaves dns-proxy's socket to it
  +1 ms     agent: pair link up
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2
