package launch

import "sbx/sandbox/internal/plan"

// The tests call a plan "plan".
type stepError = plan.StepError
