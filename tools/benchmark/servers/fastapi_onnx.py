"""FastAPI with ONNX Runtime and PyJWT, without a quota. Run by uvicorn."""

import os

import jwt
import numpy as np
import onnxruntime
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

SECRET = os.environ["BENCH_SECRET"]
CLASSES = ("setosa", "versicolor", "virginica")

options = onnxruntime.SessionOptions()
# There is a worker for each CPU.
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()
bearer = HTTPBearer()


class Flower(BaseModel):
    features: list[float] = Field(min_length=4, max_length=4)


async def caller(credentials: HTTPAuthorizationCredentials = Depends(bearer)) -> str:
    try:
        return jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401, "invalid token") from None


@app.post("/predict")
async def predict(flower: Flower, _: str = Depends(caller)) -> dict:
    rows = np.array([flower.features], np.float32)
    (label,), (probabilities,) = session.run(["label", "probabilities"], {"features": rows})
    named = dict(zip(CLASSES, probabilities.tolist(), strict=True))
    return {"prediction": CLASSES[label], "probabilities": named}
