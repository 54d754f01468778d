# SPDX-License-Identifier: GPL-2.0
#
# Models, checked exhaustively with spin.

CHECK_TARGETS += check-models

.PHONY: check-models models
check-models:
	$(Q)tests/models/run quick $(B)/tests/models

models:
	$(Q)tests/models/run full $(B)/tests/models
