# The disk is full while the policy changes: the change is in force and only not stored. When there is room it is.
disk agent full
disk dns-proxy full
publish revision=2
run 100ms
query client=pod-0 name=h0.x2.test.
run 50ms
disk agent ok
disk dns-proxy ok
run 1s
kill agent
start agent
settle
----
> disk agent full
> disk dns-proxy full
> publish revision=2
> run 100ms
  +25 ms    agent enforces revision 2
  +25 ms    dns-proxy enforces revision 2
> query client=pod-0 name=h0.x2.test.
  +0 ms     query 1: h0.x2.test.
> run 50ms
  +0 ms     query 1: agent asks the upstream
  +5 ms     query 1: agent answers NOERROR
> disk agent ok
> disk dns-proxy ok
> run 1s
> kill agent
  +0 ms     agent is killed
> start agent
> settle
  +1 ms     dns-proxy answers for agent
  +1 ms     dns-proxy: pair link down
  +9 ms     agent starts
  +12 ms    agent enforces revision 2
  +13 ms    agent serves
  +14 ms    dns-proxy leaves agent's socket to it
  +39 ms    agent: pair link up
  +39 ms    dns-proxy: pair link up
