# The gateway, ONNX Runtime and the Iris example in one image, which holds no secret.
#
#   docker build --tag onnx-gateway .
#   docker run --read-only --tmpfs /tmp --cap-drop all --publish 8000:8000 \
#       --env GATEWAY__AUTH__SIGNING_SECRET="$(openssl rand -hex 32)" onnx-gateway
#
# docker (with BuildKit, its default) and podman take this file alike. tools/container-test tries the image.

# --- The binary --------------------------------------------------------------------------------------------------
FROM rust:1.95-bookworm AS build
WORKDIR /build
# The binary names its crates, so that scanners can find those with a vulnerability.
RUN cargo install --locked cargo-auditable@0.7.7

# The dependencies in a layer of their own, which stands until they change: an empty program compiles them.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
# Named in Cargo.toml, so it has to be there, though it is not built.
COPY benches benches
COPY src/protocols/open_inference/grpc/open_inference.proto src/protocols/open_inference/grpc/
RUN touch src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo auditable build --release --locked \
    && rm -r src

# A copied file keeps its age, so it may be older than what was built from the empty program: cargo, which goes by
# that, would take the empty program for up to date.
COPY src src
RUN touch src/lib.rs src/main.rs && cargo auditable build --release --locked
COPY tools/third-party tools/sbom tools/onnxruntime.txt tools/
COPY tools/packages/__init__.py tools/packages/crates.py tools/packages/audit.py tools/packages/bill.py tools/packages/
RUN python3 tools/third-party

# --- ONNX Runtime ------------------------------------------------------------------------------------------------
# The same pinned library that tools/setup fetches for a source tree; it needs Python only to get it.
FROM python:3.11-slim-bookworm AS onnxruntime
WORKDIR /setup
COPY tools/setup tools/onnxruntime.txt tools/
RUN tools/setup

# --- The locale that text models need ----------------------------------------------------------------------------
# scikit-learn's text steps become an operator that asks the system for en_US.UTF-8. That one locale is 3 MB; the
# package that it is compiled from is 17 MB and stays behind.
FROM debian:bookworm-slim AS locale
RUN apt-get update \
    && apt-get install --yes --no-install-recommends locales \
    && localedef --no-archive --inputfile en_US --charmap UTF-8 /usr/lib/locale/en_US.UTF-8 \
    && rm -rf /var/lib/apt/lists/*

# --- The base of the image -----------------------------------------------------------------------------------------
# Debian, as ONNX Runtime is built against glibc and libstdc++: both are in this base already, where Alpine has musl
# in place of the one and a distroless base would have to be taught locales. bookworm, like the stages above, so that
# the binary meets the glibc it was linked with.
FROM debian:bookworm-slim AS base
LABEL org.opencontainers.image.title="onnx-gateway" \
      org.opencontainers.image.description="Serves any ONNX model behind a secure, fast API" \
      org.opencontainers.image.licenses="Apache-2.0"

# Above 10000, where no user of the host is likely to be: outside the container it can do nothing. --no-log-init, as
# the log of logins has a place for every number below.
RUN groupadd --gid 65532 gateway \
    && useradd --uid 65532 --gid gateway --key UID_MAX=65532 --no-log-init --no-create-home \
        --home-dir /nonexistent --shell /usr/sbin/nologin gateway

# Where a volume is mounted, which takes over the owner; without one the gateway says that it remembers nothing.
RUN install --directory --mode=0700 --owner=gateway --group=gateway /var/lib/onnx-gateway

# --- The bill of materials -----------------------------------------------------------------------------------------
FROM build AS bill
COPY --from=base /var/lib/dpkg/status /usr/lib/os-release base/
COPY --from=onnxruntime /setup/.onnxruntime/libonnxruntime.so .onnxruntime/
RUN python3 tools/sbom --image base/status base/os-release --binary target/release/onnx-gateway \
        --output target/image.cdx.json

# --- The image ---------------------------------------------------------------------------------------------------
FROM base
# What changes least comes first. The binary looks for the library beside itself.
COPY --from=locale /usr/lib/locale/en_US.UTF-8 /usr/lib/locale/en_US.UTF-8
COPY --from=onnxruntime /setup/.onnxruntime/LICENSE /setup/.onnxruntime/ThirdPartyNotices.txt \
    /usr/share/doc/onnxruntime/
COPY --chmod=0644 LICENSE /usr/share/doc/onnx-gateway/
COPY --from=build /build/target/THIRD-PARTY.txt /usr/share/doc/onnx-gateway/
COPY --from=bill /build/target/image.cdx.json /usr/share/doc/onnx-gateway/onnx-gateway.cdx.json
# The authorities that certificates of identity providers are verified by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=onnxruntime /setup/.onnxruntime/libonnxruntime.so /usr/local/bin/
# Readable for the gateway's user whatever the umask of the source tree was.
COPY --chmod=0644 models/iris/1/model.onnx /models/iris/1/
COPY --chmod=0644 config/container.toml /app/config/default.toml
COPY --from=build /build/target/release/onnx-gateway /usr/local/bin/

# ONNX Runtime's telemetry is off before the process starts. Settings are not here: the environment would win over a
# file that someone mounts.
ENV ORT_DISABLE_TELEMETRY=1 LANG=C.UTF-8
WORKDIR /app
USER 65532:65532
# 8002, for operators, listens inside the container only until admin.listen says otherwise.
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["onnx-gateway", "health"]
ENTRYPOINT ["onnx-gateway"]
