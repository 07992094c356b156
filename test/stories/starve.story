# The agent is throttled: it beats late, again and again. Each time dns-proxy answers for it, which is harmless.
load queries=200 over=1s
starve agent
run 1s
feed agent
run 200ms
sum
----
> load queries=200 over=1s
> starve agent
> run 1s
  +360 ms   dns-proxy answers for agent
  +371 ms   dns-proxy leaves agent's socket to it
  +516 ms   dns-proxy answers for agent
  +527 ms   dns-proxy leaves agent's socket to it
  +756 ms   dns-proxy answers for agent
  +767 ms   dns-proxy leaves agent's socket to it
> feed agent
> run 200ms
> sum
  200 queries: 200 answered, 0 not, 0 twice
