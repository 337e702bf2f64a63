"""Who a caller is. Open this package to learn how tokens are verified, and how a process or developer makes one.

Tokens are JWTs signed with EdDSA, ES256 or RS256 by a key of the JWKS file. The tenant of a call comes from its
verified token and from nowhere else. Every refusal is UNAUTHENTICATED and says what is wrong, never what would be
right.

    keys.py      algorithms, roles, the JWKS file that may change at any time
    remote.py    the keys of an issuer that publishes them under a URL
    verifier.py  token to Identity
    signing.py   Identity to token: for a process, for a developer
"""

from libs.common.identity.keys import ALGORITHMS, ROLES, unauthenticated
from libs.common.identity.signing import KeyPair, MeshSigner, mint, new_keys
from libs.common.identity.verifier import Identity, Verifier, bearer_token

__all__ = [
    "ALGORITHMS",
    "ROLES",
    "Identity",
    "KeyPair",
    "MeshSigner",
    "Verifier",
    "bearer_token",
    "mint",
    "new_keys",
    "unauthenticated",
]
