# No upstream answers: two tries of a second, then SERVFAIL. Never silence.
upstream silent
query client=pod-0 name=n1.ok.test. via=agent
run 3s
mappings
----
> upstream silent
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 3s
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 1: the upstream's answer is: silent
  +1000 ms  query 1: agent asks the upstream
  +1000 ms  query 1: the upstream's answer is: silent
  +2000 ms  query 1: agent answers SERVFAIL
> mappings
  agent knows no mapping
  dns-proxy knows no mapping
