# Three stages: the pages need Node, the packages need pip, and the image that runs has neither.
FROM node:24-slim AS pages
WORKDIR /build/pages
COPY pages/package.json pages/package-lock.json pages/.npmrc ./
RUN npm ci --ignore-scripts --no-fund --no-audit
COPY pages ./
RUN npm run build

FROM python:3.12-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/doorstep
COPY requirements.lock /build/
RUN /opt/doorstep/bin/pip install --only-binary :all: --require-hashes --no-deps -r /build/requirements.lock
COPY . /build/
COPY --from=pages /build/pages/dist /build/pages/dist
RUN /opt/doorstep/bin/pip install --no-deps --no-build-isolation /build

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Doorstep" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin doorstep \
 && install -d -o doorstep -g doorstep -m 0700 /var/lib/doorstep
COPY --from=packages /opt/doorstep /opt/doorstep
ENV PATH=/opt/doorstep/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DOORSTEP_DATA_DIR=/var/lib/doorstep
USER 10001:10001
WORKDIR /var/lib/doorstep
VOLUME /var/lib/doorstep
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
ENTRYPOINT ["doorstep"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
