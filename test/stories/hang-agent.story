# The agent is stopped for 400 ms (SIGSTOP). Its heartbeat stands still for three ticks; dns-proxy takes over what it has
# and reads its socket, until it beats again. Nothing is answered twice.
query client=pod-0 name=n1.ok.test. via=agent
run 1ms
pause agent
query client=pod-1 name=n2.ok.test. via=agent
run 400ms
resume agent
run 100ms
mappings
----
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 1ms
  +0 ms     query 1: agent asks the upstream
> pause agent
  +0 ms     agent is stopped
> query client=pod-1 name=n2.ok.test. via=agent
  +0 ms     query 2: n2.ok.test.
> run 400ms
  +39 ms    dns-proxy answers for agent
  +39 ms    query 1: dns-proxy takes it over
  +39 ms    query 1: dns-proxy asks the upstream
  +39 ms    query 2: dns-proxy asks the upstream
  +42 ms    query 1: dns-proxy answers NOERROR
  +42 ms    query 2: dns-proxy answers NOERROR
> resume agent
  +0 ms     agent goes on
> run 100ms
  +2 ms     dns-proxy leaves agent's socket to it
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-1 n2.ok.test. 10.0.0.3
