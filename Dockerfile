# ferry as a container: what Ocean's image for bitbucket-cloud takes, this one takes, too (docs/container.md).
FROM rust:1-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --package ferry-cli

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/ferry /usr/local/bin/ferry
# A resync may wait for hours: point this at a volume to go on where a stopped container was.
# ENV FERRY__STATE_DIR=/state
EXPOSE 8000
ENTRYPOINT ["/usr/local/bin/ferry"]
