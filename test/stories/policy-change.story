# A policy that changes takes effect whole. Strangers are refused; a pod without policy may ask anything.
query client=pod-0 name=h0.y1.test. via=agent
query client=pod-0 name=h0.x1.test. via=agent
query client=stranger name=n1.ok.test.
query client=pod-5 name=n1.denied.test.
run 50ms
publish revision=2
run 50ms
query client=pod-0 name=h0.x2.test. via=agent
query client=pod-0 name=h0.y1.test. via=agent
query client=pod-0 name=h0.x2.test. via=dns-proxy
run 50ms
----
> query client=pod-0 name=h0.y1.test. via=agent
  +0 ms     query 1: h0.y1.test.
> query client=pod-0 name=h0.x1.test. via=agent
  +0 ms     query 2: h0.x1.test.
> query client=stranger name=n1.ok.test.
  +0 ms     query 3: n1.ok.test.
> query client=pod-5 name=n1.denied.test.
  +0 ms     query 4: n1.denied.test.
> run 50ms
  +0 ms     query 2: agent answers REFUSED
  +0 ms     query 3: agent answers REFUSED
  +0 ms     query 1: agent asks the upstream
  +0 ms     query 4: agent asks the upstream
  +4 ms     query 4: agent answers NOERROR
  +5 ms     query 1: agent answers NOERROR
> publish revision=2
> run 50ms
  +8 ms     agent enforces revision 2
  +9 ms     dns-proxy enforces revision 2
> query client=pod-0 name=h0.x2.test. via=agent
  +0 ms     query 5: h0.x2.test.
> query client=pod-0 name=h0.y1.test. via=agent
  +0 ms     query 6: h0.y1.test.
> query client=pod-0 name=h0.x2.test. via=dns-proxy
  +0 ms     query 7: h0.x2.test.
> run 50ms
  +0 ms     query 6: agent answers REFUSED
  +0 ms     query 5: agent asks the upstream
  +0 ms     query 7: dns-proxy asks the upstream
  +4 ms     query 5: agent answers NOERROR
  +4 ms     query 7: dns-proxy answers NOERROR
