# The build's folder holds the static programs: see deploy/README.md. The engine's socket is mounted, and is as good as root.
FROM scratch
COPY orch-agent /orch-agent
ENV ORCH_DATA_DIR=/data
VOLUME /data
ENTRYPOINT ["/orch-agent"]
