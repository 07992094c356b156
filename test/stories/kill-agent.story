# The agent is killed while a query waits for the upstream. dns-proxy has its journal and its socket, and answers.
query client=pod-0 name=n1.ok.test. via=agent
run 1ms
kill agent
run 100ms
query client=pod-1 name=n2.ok.test.
run 100ms
# Its successor is given the socket back.
start agent
settle
mappings
----
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 1ms
  +0 ms     query 1: agent asks the upstream
> kill agent
  +0 ms     agent is killed
> run 100ms
  +1 ms     dns-proxy: pair link down
  +1 ms     dns-proxy answers for agent
  +1 ms     query 1: dns-proxy takes it over
  +1 ms     query 1: dns-proxy asks the upstream
  +4 ms     query 1: dns-proxy answers NOERROR
> query client=pod-1 name=n2.ok.test.
  +0 ms     query 2: n2.ok.test.
> run 100ms
  +0 ms     query 2: dns-proxy asks the upstream
  +4 ms     query 2: dns-proxy answers NOERROR
> start agent
  +0 ms     agent starts
> settle
  +3 ms     agent enforces revision 1
  +5 ms     agent serves
  +5 ms     dns-proxy leaves agent's socket to it
  +83 ms    dns-proxy: pair link up
  +83 ms    agent: pair link up
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
