# The mirror in a container; scripts/container/assemble.sh puts its files together.
# BASE has Node.js, npm and binutils. Only the libraries that the mirror's programs need come from it.
ARG BASE=node:24-bookworm

FROM ${BASE} AS build
ARG NPM_CONFIG_REGISTRY
WORKDIR /build
COPY package.json package-lock.json ./
COPY scripts/postinstall.js scripts/
RUN npm ci --omit=dev --no-audit --no-fund
COPY . .
RUN mkdir -p /volumes/data && scripts/container/assemble.sh /build /image

FROM scratch
ENV PATH=/usr/local/bin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "/app/scripts/container/health.js"]
ENTRYPOINT ["node", "/app/scripts/start.js", "--host", "0.0.0.0", "--data", "/data/store"]
# A new volume belongs to the user that the mirror runs as.
COPY --from=build --chown=65532:65532 /volumes /
USER 65532:65532
# Where access-keys.json is read.
WORKDIR /data
VOLUME /data
COPY --from=build /image /
