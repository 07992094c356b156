# dns-proxy hangs under load: a hundred queries are asked over half a second, of which it hears half.
load queries=100 over=500ms
run 50ms
pause dns-proxy
run 400ms
resume dns-proxy
run 300ms
sum
----
> load queries=100 over=500ms
> run 50ms
> pause dns-proxy
  +0 ms     dns-proxy is stopped
> run 400ms
  +41 ms    agent answers for dns-proxy
> resume dns-proxy
  +0 ms     dns-proxy goes on
> run 300ms
  +0 ms     agent leaves dns-proxy's socket to it
> sum
  100 queries: 100 answered, 0 not, 0 twice
