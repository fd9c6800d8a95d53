select * from {{ ref('campaign_performance') }} where accepted <> dropped + delivered + failed + unknown + open
