"""Writes similarity.safetensors: the losses of sentence-transformers on float64 vectors, with gradients.

  vectors [12, 6]                       of 4 rows, the texts that belong to them, and one or two negatives beside them
  contrastive/<case>/loss, grad         MultipleNegativesRankingLoss of vectors: pairs (the first 8), pairs_0.1 (temperature 0.1), negative (one for each
                                        row), and duplicates: rows 0 and 2 are the same text, and the text of row 1 equals that of row 3. There the loss of each row
                                        is taken by itself, with its own text and those of the others that are not the same
  scores [4], cosine/loss, grad         CosineSimilarityLoss of the first 8 vectors
  cosent/<case>/loss, grad              CoSENTLoss: plain, 0.1 (temperature 0.1), tied (two of the scores are equal)

Needs sentence-transformers 5.3.0 and scikit-learn besides the requirements."""

import torch
from sentence_transformers import __version__ as sentence_transformers
from sentence_transformers.losses import CoSENTLoss, CosineSimilarityLoss, MultipleNegativesRankingLoss

from reference import HERE, save

VECTORS = torch.randn(12, 6, generator=torch.Generator().manual_seed(47), dtype=torch.float64)
SCORES = [0.9, -0.2, 0.35, 0.6]


def with_grad(loss_of):
    vectors = VECTORS.clone().requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    return {"loss": loss, "grad": vectors.grad}


def contrastive(parts, scale=20.0):
    loss = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=scale)
    return lambda x: loss.compute_loss_from_embeddings([x[4 * i : 4 * i + 4] for i in range(parts)], None)


def duplicates(x):
    """Of each row the places of the texts that are not negatives of it, besides its own."""
    same = {0: [2], 1: [3], 2: [0], 3: [1]}
    loss = MultipleNegativesRankingLoss(torch.nn.Identity())
    rows = []
    for i in range(4):
        others = [j for j in range(4) if j != i and j not in same[i]]
        rows.append(loss.compute_loss_from_embeddings([x[[i]], x[[4 + i]], *(x[[4 + j]] for j in others)], None))
    return torch.stack(rows).mean()


def pairs(loss, scores):
    return lambda x: loss.compute_loss_from_embeddings([x[:4], x[4:8]], torch.tensor(scores, dtype=torch.float64))


if __name__ == "__main__":
    model = torch.nn.Identity()
    cases = {
        "contrastive/pairs": contrastive(2),
        "contrastive/pairs_0.1": contrastive(2, scale=10.0),
        "contrastive/negative": contrastive(3),
        "contrastive/duplicates": duplicates,
        "cosine": pairs(CosineSimilarityLoss(model), SCORES),
        "cosent/plain": pairs(CoSENTLoss(model), SCORES),
        "cosent/0.1": pairs(CoSENTLoss(model, scale=10.0), SCORES),
        "cosent/tied": pairs(CoSENTLoss(model), [0.5, 0.5, 0.1, 0.9]),
    }
    named = {f"{case}/{name}": value for case, loss_of in cases.items() for name, value in with_grad(loss_of).items()}
    save(HERE / "similarity.safetensors", {"vectors": VECTORS, "scores": torch.tensor(SCORES), **named}, sentence_transformers=sentence_transformers)
