# syntax=docker/dockerfile:1
# docker build -t apprentice .                                   for the CPU
# docker build -t apprentice --build-arg ACCELERATOR=cuda .      for NVIDIA GPUs
ARG ACCELERATOR=cpu

# --- what compiles -------------------------------------------------------------------------------------------
FROM python:3.12-slim-bookworm AS build-cpu
# Any x86-64 machine of the last ten years; GGML_NATIVE would tie the image to the machine that built it.
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"

FROM nvidia/cuda:12.8.1-devel-ubuntu24.04 AS build-cuda
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 python3-venv python3-dev \
  && rm -rf /var/lib/apt/lists/*
ENV CMAKE_ARGS="-DGGML_CUDA=ON -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
# The driver's library is on the machine that runs the image, not on the one that builds it.
RUN ln -s libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1
ENV LIBRARY_PATH=/usr/local/cuda/lib64/stubs

# hadolint ignore=DL3006
FROM build-${ACCELERATOR} AS build
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends build-essential cmake ninja-build git \
  && rm -rf /var/lib/apt/lists/*
ARG EXTRAS=postgres
WORKDIR /source
RUN python3 -m venv /opt/apprentice
COPY requirements.lock ./
# A layer of its own: llama.cpp compiles for minutes, and only again when its version changes.
RUN sed -n '/^llama-cpp-python==/,/[^\\]$/p' requirements.lock > llama.lock \
  && /opt/apprentice/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement llama.lock
RUN /opt/apprentice/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.lock
COPY . .
# Only ourselves, and what EXTRAS names beyond the lock.
RUN /opt/apprentice/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

# --- what runs -----------------------------------------------------------------------------------------------
FROM python:3.12-slim-bookworm AS run-cpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04 AS run-cuda
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 libgomp1 \
  && rm -rf /var/lib/apt/lists/*

# hadolint ignore=DL3006
FROM run-${ACCELERATOR}
RUN useradd --system --uid 10001 --create-home --home-dir /data apprentice
COPY --from=build /opt/apprentice /opt/apprentice
ENV PATH=/opt/apprentice/bin:$PATH \
  PYTHONUNBUFFERED=1 \
  DATA_DIR=/data \
  HTTP_HOST=0.0.0.0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('HTTP_PORT', 3000), timeout=4)"]
ENTRYPOINT ["bot"]
CMD ["run"]
