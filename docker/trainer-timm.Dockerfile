# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt ./
COPY visionmesh visionmesh
RUN /opt/venv/bin/pip install --no-cache-dir -c constraints.txt ".[trainer,timm]"

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home visionmesh \
    && install -d -o visionmesh -g visionmesh /data /objects
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY docker/healthcheck.py /opt/healthcheck.py
COPY rpc rpc
COPY storage/__init__.py storage/__init__.py
COPY storage/objects storage/objects
COPY annotations annotations
COPY trainer trainer
COPY trainer_torch trainer_torch
COPY trainer_timm trainer_timm
USER visionmesh
VOLUME ["/data", "/objects"]
ENV VISIONMESH_LISTEN_ADDRESS=0.0.0.0:50061 \
    VISIONMESH_DATA_FOLDER=/data \
    VISIONMESH_OBJECT_STORE=/objects
EXPOSE 50061
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "/opt/healthcheck.py", "127.0.0.1:50061"]
CMD ["python", "-m", "trainer_timm"]
