# The upstream answers late: the second try's question is asked before the first one's answer is there, which still counts.
upstream slow
query client=pod-0 name=n1.ok.test. via=agent
query client=pod-0 name=n2.ok.test. via=agent
query client=pod-0 name=n3.ok.test. via=agent
run 3s
----
> upstream slow
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> query client=pod-0 name=n2.ok.test. via=agent
  +0 ms     query 2: n2.ok.test.
> query client=pod-0 name=n3.ok.test. via=agent
  +0 ms     query 3: n3.ok.test.
> run 3s
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 1: the upstream's answer is: silent
  +0 ms     query 2: agent asks the upstream
  +0 ms     query 2: the upstream's answer is: silent
  +0 ms     query 3: agent asks the upstream
  +4 ms     query 3: agent answers NOERROR
  +1000 ms  query 1: agent asks the upstream
  +1000 ms  query 1: the upstream's answer is: slow
  +1000 ms  query 2: agent asks the upstream
  +1000 ms  query 2: the upstream's answer is: slow
  +1308 ms  query 2: agent answers NOERROR
  +2001 ms  query 1: agent answers SERVFAIL
