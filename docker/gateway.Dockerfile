# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt ./
COPY visionmesh visionmesh
RUN /opt/venv/bin/pip install --no-cache-dir -c constraints.txt ".[gateway]"

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home visionmesh \
    && install -d -o visionmesh -g visionmesh /data /objects
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY docker/healthcheck.py /opt/healthcheck.py
COPY rpc rpc
COPY storage storage
COPY annotations annotations
COPY gateway gateway
USER visionmesh
VOLUME ["/data", "/objects"]
ENV VISIONMESH_PUBLIC_ADDRESS=0.0.0.0:50051 \
    VISIONMESH_MESH_ADDRESS=0.0.0.0:50052 \
    VISIONMESH_DATABASE_URL=sqlite:////data/visionmesh.db \
    VISIONMESH_OBJECT_STORE=/objects
EXPOSE 50051 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/opt/healthcheck.py", "127.0.0.1:50051"]
CMD ["python", "-m", "gateway"]
