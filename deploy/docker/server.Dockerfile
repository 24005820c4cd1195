# The build's folder holds the static programs: see deploy/README.md.
FROM scratch
COPY orch-server /orch-server
# Empty: volumes take their owner from it.
COPY --chown=65532:65532 data /data
USER 65532:65532
ENV ORCH_DATA_DIR=/data ORCH_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/orch-server"]
