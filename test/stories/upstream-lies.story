# A forged answer, with an ID that was never asked under, comes before the true one and is ignored. An address that is not
# on the alias chain is relayed with the answer, but not learned: 203.x never appears.
upstream forged-id
query client=pod-0 name=n1.ok.test. via=agent
run 50ms
upstream off-chain
query client=pod-0 name=n2.ok.test. via=agent
run 50ms
settle
mappings
----
> upstream forged-id
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> run 50ms
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 1: the upstream's answer is: forged-id
  +6 ms     query 1: agent answers NOERROR
> upstream off-chain
> query client=pod-0 name=n2.ok.test. via=agent
  +0 ms     query 2: n2.ok.test.
> run 50ms
  +0 ms     query 2: agent asks the upstream
  +0 ms     query 2: the upstream's answer is: off-chain
  +4 ms     query 2: agent answers NOERROR
> settle
> mappings
  agent knows uid-0 n1.ok.test. 10.0.0.2, uid-0 n2.ok.test. 10.0.0.3
  dns-proxy knows uid-0 n1.ok.test. 10.0.0.2, uid-0 n2.ok.test. 10.0.0.3
