# The command line in a container:
#
#   docker build --tag edgespeech .
#   docker run --rm --network none --volume "$PWD:/audio" edgespeech transcribe talk.wav
#   docker run --rm --network none --device /dev/snd edgespeech live
#
# The server, which needs a token (docs/guide/server-operation.md):
#
#   docker build --target serve --tag edgespeech-serve .
#   docker run --rm --publish 127.0.0.1:8080:8080 --env EDGESPEECH_TOKEN=... --env EDGESPEECH_INSECURE=true edgespeech-serve
#
# docs/guide/devices.md explains the options. EXTRAS=cpu,mic,media adds 130 MB and reads M4A, MP4 and WebM.

FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /source
COPY . .
ARG EXTRAS=cpu,mic
# The search is compiled here. The environment has neither pip nor the tests of the libraries, which would be 30 MB.
RUN python3 -m venv --without-pip /opt/edgespeech \
    && python3 -m venv /opt/pip \
    && /opt/pip/bin/pip --python /opt/edgespeech/bin/python install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" \
    && find /opt/edgespeech -type d -name tests -prune -exec rm -r {} +

FROM build AS build-serve
RUN /opt/pip/bin/pip --python /opt/edgespeech/bin/python install --no-cache-dir --constraint constraints.txt ".[serve]" \
    && find /opt/edgespeech -type d -name tests -prune -exec rm -r {} +

FROM debian:trixie-slim AS serve
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --create-home --uid 1000 edgespeech
COPY --from=build-serve /opt/edgespeech /opt/edgespeech
ENV PATH=/opt/edgespeech/bin:$PATH EDGESPEECH_HOST=0.0.0.0
USER edgespeech
EXPOSE 8080 2700 10300
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD ["python3", "-c", "\
import os, ssl, urllib.request as web; tls = 'EDGESPEECH_CERTIFICATE' in os.environ; \
port = os.environ.get('EDGESPEECH_HTTP_PORT', '8080'); context = ssl._create_unverified_context() if tls else None; \
web.urlopen(f'http{\"s\" * tls}://127.0.0.1:{port}/health', timeout=4, context=context)"]
ENTRYPOINT ["edgespeech", "serve"]

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 libportaudio2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --create-home --uid 1000 --groups audio edgespeech
COPY --from=build /opt/edgespeech /opt/edgespeech
ENV PATH=/opt/edgespeech/bin:$PATH
USER edgespeech
WORKDIR /audio
ENTRYPOINT ["edgespeech"]
CMD ["--help"]
