# The image of a run's pods: one worker's supervisor and its training processes.
#
#   VARIANT    gpu (TensorFlow with CUDA's libraries) or cpu
#   BASE       any Debian or Ubuntu with Python 3.13, or one whose apt-get has it
#   PIP_INDEX_URL, PIP_TRUSTED_HOST    another package index, for building without access to the public one
#
# Only what both BuildKit and buildah understand is used here: no cache mounts, no heredocs.

# Debian stable: security updates until 2030, Python 3.13 (the newest that TensorFlow takes), no compiler. CUDA's
# libraries come with TensorFlow's wheels, in the versions that it was built with, and the driver's from the node;
# an image of CUDA would bring them a second time.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS python
RUN command -v python3.13 >/dev/null || { \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3.13 \
        && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log; }

# pip stays behind in this stage and those made from it.
FROM python AS pip
RUN python3.13 -c 'import ensurepip, venv' 2>/dev/null && python3.13 -m pip --version 2>/dev/null || { \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-pip python3.13-venv; }

FROM pip AS packages
RUN python3.13 -m venv --without-pip /opt/perdure
ARG VARIANT=gpu
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY docker/requirements-${VARIANT}.txt /tmp/requirements.txt
# Modules are compiled here, since nobody may write them there later; by content, since times get lost on the way.
RUN python3.13 -m pip --python /opt/perdure/bin/python --disable-pip-version-check --no-cache-dir install \
        --quiet --no-compile --require-hashes --only-binary :all: \
        --requirement /tmp/requirements.txt \
    && /opt/perdure/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/perdure/lib

# Installed as a distribution, so that it knows its version.
FROM pip AS code
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY docker/requirements-build.txt /tmp/requirements.txt
RUN python3.13 -m pip --disable-pip-version-check --no-cache-dir install \
        --quiet --require-hashes --only-binary :all: --target /build --requirement /tmp/requirements.txt
COPY pyproject.toml README.md LICENSE /source/
COPY trainer /source/trainer
RUN PYTHONPATH=/build python3.13 -m pip --disable-pip-version-check install \
        --quiet --no-compile --no-deps --no-build-isolation --no-index --target /code /source \
    && rm -rf /code/bin \
    && python3.13 -m compileall -q --invalidation-mode unchecked-hash /code

FROM python
# A number, so that a cluster can tell that it is not root; a name, since some libraries ask who they are.
RUN groupadd --gid 65532 perdure \
    && useradd --uid 65532 --gid 65532 --home-dir /home/perdure --create-home --shell /usr/sbin/nologin perdure
ENV PATH=/opt/perdure/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/perdure \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1
COPY --from=packages /opt/perdure /opt/perdure
USER 65532:65532
WORKDIR /home/perdure
ENTRYPOINT ["/opt/perdure/bin/python", "-P", "-m", "trainer"]
CMD ["--pod"]
# What changes with every commit comes last: a node that has the rest fetches only this.
ARG VARIANT=gpu
ARG VERSION=unknown
ARG REVISION=unknown
ENV PERDURE_REVISION="${REVISION}"
LABEL org.opencontainers.image.title="perdure-trainer" \
      org.opencontainers.image.description="A worker of a Perdure training run: supervisor and training process" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      dev.perdure.variant="${VARIANT}"
COPY --from=code /code /opt/perdure/lib/python3.13/site-packages/
