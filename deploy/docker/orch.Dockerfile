# The build's folder holds the static programs: see deploy/README.md.
FROM scratch
COPY orch /orch
USER 65532:65532
ENTRYPOINT ["/orch"]
