# The policy source is away and the agent is killed. It comes back with the policy of its last start, and a policy that was
# published meanwhile takes effect when the source is back. pod-4 changes hands with each revision: its successor at the
# same address has verdicts of its own.
source away
kill agent
run 20ms
start agent
settle
publish revision=2
query client=pod-4 name=h0.x1.test.
query client=pod-4 name=h0.y1.test.
run 50ms
source back
run 50ms
query client=pod-4 name=h0.x1.test.
query client=pod-4 name=h0.x2.test.
run 50ms
----
> source away
> kill agent
  +0 ms     agent is killed
> run 20ms
  +1 ms     dns-proxy: pair link down
  +7 ms     dns-proxy answers for agent
> start agent
  +0 ms     agent starts
> settle
  +3 ms     agent enforces revision 1
  +5 ms     agent serves
  +5 ms     dns-proxy leaves agent's socket to it
  +100 ms   dns-proxy: pair link up
  +101 ms   agent: pair link up
> publish revision=2
> query client=pod-4 name=h0.x1.test.
  +0 ms     query 1: h0.x1.test.
> query client=pod-4 name=h0.y1.test.
  +0 ms     query 2: h0.y1.test.
> run 50ms
  +0 ms     query 1: agent answers REFUSED
  +0 ms     query 2: agent asks the upstream
  +5 ms     query 2: agent answers NOERROR
> source back
> run 50ms
  +25 ms    agent enforces revision 2
  +26 ms    dns-proxy enforces revision 2
> query client=pod-4 name=h0.x1.test.
  +0 ms     query 3: h0.x1.test.
> query client=pod-4 name=h0.x2.test.
  +0 ms     query 4: h0.x2.test.
> run 50ms
  +0 ms     query 3: agent answers REFUSED
  +0 ms     query 4: agent asks the upstream
  +3 ms     query 4: agent answers NOERROR
