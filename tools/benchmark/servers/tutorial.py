"""A scikit-learn model as tutorials serve it: FastAPI, PyJWT, slowapi. Run by uvicorn."""

import os

import joblib
import jwt
import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

SECRET = os.environ["BENCH_SECRET"]
CLASSES = ("setosa", "versicolor", "virginica")
MODEL = joblib.load(os.environ["BENCH_FOREST"])

limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
bearer = HTTPBearer()


class Flower(BaseModel):
    features: list[float] = Field(min_length=4, max_length=4)


async def caller(credentials: HTTPAuthorizationCredentials = Depends(bearer)) -> str:
    try:
        return jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401, "invalid token") from None


@app.post("/predict")
@limiter.limit("1000000000/minute")
async def predict(request: Request, flower: Flower, _: str = Depends(caller)) -> dict:
    probabilities = MODEL.predict_proba(np.array([flower.features], np.float32))[0].tolist()
    best = int(np.argmax(probabilities))
    return {"prediction": CLASSES[best], "probabilities": dict(zip(CLASSES, probabilities, strict=True))}
