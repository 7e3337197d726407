# The image of every process of Berth: `docker build --tag berth:0.1.0 .`, then `docker run berth:0.1.0 api`.

FROM python:3.11.15-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/berth
RUN pip --python /opt/berth/bin/python install --require-hashes --only-binary :all: -r requirements.lock
RUN pip install --require-hashes --only-binary :all: -r requirements-build.lock
# .dockerignore lets the program through and nothing else.
COPY . .
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels .
RUN pip --python /opt/berth/bin/python install --no-index --no-deps /wheels/*.whl

FROM python:3.11.15-slim-bookworm
RUN pip uninstall --yes --root-user-action ignore setuptools wheel pip \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/berth --create-home berth
COPY --from=build /opt/berth /opt/berth
# In a container nobody reaches a loopback address.
ENV PATH=/opt/berth/bin:$PATH \
    BERTH_API_HOST=0.0.0.0 \
    BERTH_GATEWAY_HOST=0.0.0.0 \
    BERTH_WORKER_HEALTH_HOST=0.0.0.0 \
    BERTH_VAR=/var/lib/berth
WORKDIR /var/lib/berth
USER 10001:10001
EXPOSE 8080 9000
# No HEALTHCHECK: each process has its own, see compose.yaml and deploy/kubernetes/.
ENTRYPOINT ["berth"]
CMD ["--help"]
