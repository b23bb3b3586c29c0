# The engine: `fixlify worker`, `fixlify starter`, `fixlify migrate` — one image, several commands.

FROM python:3.13.16-slim-trixie AS build
# The same version scripts/uv fetches.
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/fixlify \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src
# The dependencies first: they change rarely, and this layer is kept until they do.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY . .
RUN uv sync --locked --no-dev --no-editable

FROM python:3.13.16-slim-trixie
RUN groupadd --system --gid 10001 fixlify \
    && useradd --system --uid 10001 --gid fixlify --no-create-home --home-dir /nonexistent fixlify
COPY --from=build /opt/fixlify /opt/fixlify
ENV PATH=/opt/fixlify/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FIXLIFY_LOG_FORMAT=json
USER fixlify
WORKDIR /opt/fixlify
# No HEALTHCHECK here: what healthy means depends on the command; docker-compose.yml says it for each.
ENTRYPOINT ["fixlify"]
CMD ["--help"]
