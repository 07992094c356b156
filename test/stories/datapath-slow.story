# Addresses open slowly: the answer waits for that, 100 ms at most.
options datapath=slow
query client=pod-0 name=n1.ok.test. via=agent
query client=pod-1 name=n1.ok.test. via=agent
query client=pod-2 name=n2.ok.test. via=agent
run 300ms
----
> query client=pod-0 name=n1.ok.test. via=agent
  +0 ms     query 1: n1.ok.test.
> query client=pod-1 name=n1.ok.test. via=agent
  +0 ms     query 2: n1.ok.test.
> query client=pod-2 name=n2.ok.test. via=agent
  +0 ms     query 3: n2.ok.test.
> run 300ms
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 2: agent asks the upstream
  +0 ms     query 3: agent asks the upstream
  +43 ms    query 3: agent answers NOERROR
  +89 ms    query 2: agent answers NOERROR
  +105 ms   query 1: agent answers NOERROR
