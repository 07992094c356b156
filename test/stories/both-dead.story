# With both gone nobody answers, and nothing gets past the proxy. The policy in force is found again on disk.
kill agent
kill dns-proxy
query client=pod-0 name=n1.ok.test.
run 100ms
start agent
start dns-proxy
settle
query client=pod-0 name=n1.ok.test.
query client=pod-0 name=n1.denied.test.
run 20ms
----
> kill agent
  +0 ms     agent is killed
> kill dns-proxy
  +0 ms     dns-proxy is killed
> query client=pod-0 name=n1.ok.test.
  +0 ms     query 1: n1.ok.test.
  +0 ms     query 1: nobody is there to receive it
> run 100ms
> start agent
  +0 ms     agent starts
> start dns-proxy
  +0 ms     dns-proxy starts
  +0 ms     dns-proxy enforces revision 1
  +0 ms     dns-proxy serves
> settle
  +3 ms     agent enforces revision 1
  +4 ms     agent serves
  +99 ms    dns-proxy: pair link up
  +99 ms    agent: pair link up
> query client=pod-0 name=n1.ok.test.
  +0 ms     query 2: n1.ok.test.
> query client=pod-0 name=n1.denied.test.
  +0 ms     query 3: n1.denied.test.
> run 20ms
  +0 ms     query 3: dns-proxy answers REFUSED
  +0 ms     query 2: dns-proxy asks the upstream
  +5 ms     query 2: dns-proxy answers NOERROR
