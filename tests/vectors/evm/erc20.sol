// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// The least of ERC-20 that a sweep needs: one holder at first, transfers, balances. For tests.
contract Token {
    mapping(address => uint256) public balanceOf;
    uint256 public immutable totalSupply;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor(address holder, uint256 amount) {
        totalSupply = amount;
        balanceOf[holder] = amount;
        emit Transfer(address(0), holder, amount);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        require(balanceOf[msg.sender] >= value, "balance");
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
