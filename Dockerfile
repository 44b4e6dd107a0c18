# ferry as a container: what Ocean's image for bitbucket-cloud takes, this one takes, too (docs/container.md). Built on
# the machine's own processor for either one, without emulation.
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS chef
RUN cargo install cargo-chef --locked --version 0.1.78
WORKDIR /build

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
ARG TARGETARCH
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
RUN case "$TARGETARCH" in \
        amd64) rust=x86_64-unknown-linux-gnu debian=x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
        arm64) rust=aarch64-unknown-linux-gnu debian=aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
        *) echo "there is no image for $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
        apt-get update && apt-get install --yes --no-install-recommends "gcc-$debian" "$libc"; \
    fi \
    && rustup target add "$rust" && echo "$rust" >/target
# All dependencies, in a layer that only changes with them.
COPY --from=plan /build/recipe.json .
RUN cargo chef cook --release --locked --package ferry-cli --target "$(cat /target)" --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package ferry-cli --target "$(cat /target)" \
    && mkdir --parents /image/usr/local/bin /image/usr/local/share/ca-certificates /owned/state \
    && cp "target/$(cat /target)/release/ferry" /image/usr/local/bin/ \
    && chmod 0777 /owned/state

FROM gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f
COPY --from=build /image/ /
# Its user's, and writable for another one that somebody prefers.
COPY --from=build --chown=nonroot:nonroot /owned/ /
# Certificates that are mounted there, as Port's chart does, are trusted beside the system's.
ENV FERRY__STATE_DIR=/state \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_DIR=/usr/local/share/ca-certificates
VOLUME /state
EXPOSE 8000
ENTRYPOINT ["/usr/local/bin/ferry"]
