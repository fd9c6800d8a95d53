"""Rate limits of this process: one bucket a tenant, one a key.

Headers as in the IETF draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` tells the limits, `RateLimit` what is left.
"""

from shared.http.problems import ProblemError

from ingest.domain.api_key import StoredKey
from ingest.domain.token_bucket import Take, TokenBucket, take

MOST_BUCKETS = 20_000


class Limits:
    def __init__(self, tenant_per_s: int, key_per_s: int) -> None:
        self._tenant_per_s, self._key_per_s = tenant_per_s, key_per_s
        self._tenants: dict[str, TokenBucket] = {}
        self._keys: dict[str, TokenBucket] = {}

    def take(self, stored: StoredKey, cost: int, now_ms: int) -> dict[str, str]:
        """The headers to answer with. ProblemError 429 when the tenant or the key has used up its limit."""
        tenant = self._bucket(self._tenants, stored.caller.tenant_id, stored.tenant_per_s or self._tenant_per_s, now_ms)
        key = self._bucket(self._keys, stored.caller.key_id, stored.key_per_s or self._key_per_s, now_ms)
        of_tenant, of_key = take((tenant, key), cost, now_ms)
        headers = _headers(tenant, of_tenant, key, of_key)
        wait = max(of_tenant.wait_s, of_key.wait_s)
        if wait:
            whose = "tenant" if of_tenant.wait_s >= of_key.wait_s else "key"
            headers["Retry-After"] = str(wait)
            raise ProblemError(
                429, "rate_limited", f"the {whose} has used up its limit; try again in {wait} s", headers=headers
            )
        return headers

    @staticmethod
    def _bucket(buckets: dict[str, TokenBucket], name: str, per_s: int, now_ms: int) -> TokenBucket:
        bucket = buckets.get(name)
        if bucket is None or bucket.per_s != per_s:
            if len(buckets) > MOST_BUCKETS:
                buckets.clear()
            bucket = buckets[name] = TokenBucket.full(per_s, now_ms)
        return bucket


def _headers(tenant: TokenBucket, of_tenant: Take, key: TokenBucket, of_key: Take) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"tenant";q={tenant.capacity};w={tenant.window_s}, "key";q={key.capacity};w={key.window_s}',
        "RateLimit": f'"tenant";r={of_tenant.left};t={of_tenant.full_in_s}, "key";r={of_key.left};t={of_key.full_in_s}',
    }
