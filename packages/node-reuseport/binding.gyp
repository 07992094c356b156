{
  "variables": { "address_sanitizer%": 0, "plain%": 0 },
  "targets": [
    {
      "target_name": "node_reuseport",
      "sources": [
        "native/binding.cc",
        "native/code-points.cc",
        "native/conntrack.cc",
        "native/conntrack-binding.cc",
        "native/journal.cc",
        "native/lock.cc",
        "native/metadata.cc",
        "native/netlink.cc",
        "native/netlink-writer.cc",
        "native/netlink-binding.cc",
        "native/pool-task.cc",
        "native/reactor.cc",
        "native/reactor-receive.cc",
        "native/reactor-reply.cc",
        "native/reactor-take.cc",
        "native/reactor-transmit.cc",
        "native/reactor-binding.cc",
        "native/socket.cc",
        "native/tcp.cc",
        "native/thread.cc",
        "native/unix.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        # A thread that is being ended cannot throw: its calls return empty, and do not end the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED"
      ],
      "cflags_cc": ["-std=c++17", "-O2", "-fno-exceptions", "-fvisibility=hidden", "-Wall", "-Wextra"],
      "conditions": [
        ["plain==1", { "defines": ["REUSEPORT_PLAIN"] }],
        ["address_sanitizer==1", {
          "cflags_cc": ["-fsanitize=address", "-fno-omit-frame-pointer", "-g", "-O1"],
          "ldflags": ["-fsanitize=address"]
        }]
      ]
    }
  ]
}
