# A query kills who reads it. The peer answers it SERVFAIL, unread, and lives.
query client=pod-0 name=poison.ok.test. via=agent
run 100ms
query client=pod-1 name=n1.ok.test.
run 50ms
start agent
settle
----
> query client=pod-0 name=poison.ok.test. via=agent
  +0 ms     query 1: poison.ok.test.
> run 100ms
  +0 ms     agent is killed
  +1 ms     dns-proxy: pair link down
  +3 ms     dns-proxy answers for agent
  +3 ms     query 1: dns-proxy takes it over
  +3 ms     query 1: dns-proxy answers SERVFAIL
> query client=pod-1 name=n1.ok.test.
  +0 ms     query 2: n1.ok.test.
> run 50ms
  +0 ms     query 2: dns-proxy asks the upstream
  +5 ms     query 2: dns-proxy answers NOERROR
> start agent
  +0 ms     agent starts
> settle
  +3 ms     agent enforces revision 1
  +4 ms     agent serves
  +4 ms     dns-proxy leaves agent's socket to it
  +115 ms   dns-proxy: pair link up
  +116 ms   agent: pair link up
