# dns-proxy dies and its state folder is lost. It serves when it has the agent's policy, and learns again what it knew.
query client=pod-0 name=n1.ok.test. via=dns-proxy
run 50ms
kill dns-proxy
disk dns-proxy lost
run 100ms
query client=pod-1 name=n2.ok.test.
run 50ms
start dns-proxy
settle
query client=pod-0 name=n1.denied.test. via=dns-proxy
run 20ms
mappings
----
> query client=pod-0 name=n1.ok.test. via=dns-proxy
  +0 ms     query 1: n1.ok.test.
> run 50ms
  +0 ms     query 1: dns-proxy asks the upstream
  +5 ms     query 1: dns-proxy answers NOERROR
> kill dns-proxy
  +0 ms     dns-proxy is killed
> disk dns-proxy lost
> run 100ms
  +1 ms     agent answers for dns-proxy
  +1 ms     agent: pair link down
> query client=pod-1 name=n2.ok.test.
  +0 ms     query 2: n2.ok.test.
> run 50ms
  +0 ms     query 2: agent asks the upstream
  +3 ms     query 2: agent answers NOERROR
> start dns-proxy
  +0 ms     dns-proxy starts
> settle
  +0 ms     dns-proxy: pair link up
  +1 ms     agent: pair link up
  +3 ms     dns-proxy enforces revision 1
  +4 ms     dns-proxy serves
  +4 ms     agent leaves dns-proxy's socket to it
> query client=pod-0 name=n1.denied.test. via=dns-proxy
  +0 ms     query 3: n1.denied.test.
> run 20ms
  +0 ms     query 3: dns-proxy answers REFUSED
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
