# The image that CronJobs run: no shell is needed, nothing is written below /, user 65532.
#   docker build -t luxima/luxima-retention:0.1.0 .
# A new base: `docker buildx imagetools inspect python:3.13-slim`, and write its digest here twice.
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# What builds the wheel stays in this stage.
COPY requirements/build.lock /build/requirements/build.lock
RUN pip install --require-hashes -r /build/requirements/build.lock \
  && python -m venv --without-pip /opt/luxima-retention
# Dependencies first, from hashes: this layer stays as long as the lock does.
COPY requirements/image.lock /build/requirements/image.lock
RUN pip --python /opt/luxima-retention/bin/python install --no-compile --require-hashes \
      -r /build/requirements/image.lock
COPY pyproject.toml README.md LICENSE /build/
COPY luxima_retention /build/luxima_retention
COPY jobs /build/jobs
COPY sql /build/sql
WORKDIR /build
# The root is read-only at run time: without bytecode each start would compile everything again. It is
# checked by hash, not by time, so that the same sources make the same files.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheel . \
  && pip --python /opt/luxima-retention/bin/python install --no-compile --no-deps --no-index /build/wheel/*.whl \
  && /opt/luxima-retention/bin/python -m compileall -q --invalidation-mode unchecked-hash \
      /opt/luxima-retention/lib

FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
LABEL org.opencontainers.image.title="luxima-retention" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/luxima-retention /opt/luxima-retention
ENV PATH=/opt/luxima-retention/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
# The program handles SIGTERM itself, and as PID 1 it must: exec form, no shell between.
ENTRYPOINT ["luxima-retention"]
CMD ["--help"]
