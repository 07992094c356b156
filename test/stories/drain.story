# A restart: the agent hands its socket over, finishes what it has, and its successor is given the socket back.
load queries=200 over=1s
run 100ms
drain agent
run 300ms
start agent
run 1s
sum
settle
----
> load queries=200 over=1s
> run 100ms
> drain agent
  +0 ms     agent is told to end
> run 300ms
  +0 ms     dns-proxy answers for agent
  +9 ms     agent exits
  +10 ms    dns-proxy: pair link down
> start agent
  +0 ms     agent starts
> run 1s
  +3 ms     agent enforces revision 1
  +4 ms     agent serves
  +5 ms     dns-proxy leaves agent's socket to it
  +63 ms    agent: pair link up
  +63 ms    dns-proxy: pair link up
> sum
  200 queries: 200 answered, 0 not, 0 twice
> settle
